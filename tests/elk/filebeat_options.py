"""The options of Filebeat 9.5 that filebeat.yml may use, by section, from its reference."""

FILESTREAM = frozenset(
    """
    type id paths enabled encoding tags pipeline index keep_null processors
    fields fields_under_root publisher_pipeline.disable_host
    file_identity.fingerprint file_identity.native file_identity.path
    file_identity.inode_marker.path
    prospector.scanner.check_interval prospector.scanner.exclude_files
    prospector.scanner.include_files prospector.scanner.recursive_glob
    prospector.scanner.resend_on_touch prospector.scanner.symlinks
    prospector.scanner.fingerprint.offset prospector.scanner.fingerprint.length
    close.on_state_change.inactive close.on_state_change.removed
    close.on_state_change.renamed close.reader.on_eof close.reader.after_interval
    clean_inactive clean_removed ignore_older ignore_inactive
    backoff.init backoff.max buffer_size compression harvester_limit message_max_bytes
    include_lines exclude_lines include_file_owner_name include_file_owner_group_name
    delete.enabled delete.grace_period read_until_eof.enabled read_until_eof.timeout
    take_over.enabled take_over.from_ids parsers
    """.split()
)

NDJSON = frozenset(
    """
    target overwrite_keys expand_keys add_error_key message_key document_id ignore_decoding_error
    """.split()
)

GENERAL = frozenset(
    """
    filebeat.inputs filebeat.shutdown_timeout filebeat.registry.path filebeat.registry.flush
    filebeat.registry.file_permissions name tags fields fields_under_root processors max_procs
    timestamp.precision
    setup.ilm.enabled setup.template.enabled setup.template.name setup.template.pattern
    http.enabled http.host http.port
    output.elasticsearch.hosts output.elasticsearch.api_key output.elasticsearch.index
    output.elasticsearch.preset output.elasticsearch.compression_level
    output.elasticsearch.bulk_max_size output.elasticsearch.timeout
    output.elasticsearch.ssl.certificate_authorities
    """.split()
)

DEPRECATED = frozenset(
    """
    gzip_experimental allow_deprecated_id_duplication allow_deprecated_use legacy_clean_inactive
    prospector.scanner.fingerprint.enabled take_over
    output.elasticsearch.allow_older_versions output.elasticsearch.escape_html
    output.elasticsearch.non_indexable_policy.dead_letter_index.index
    """.split()
)
