"""Tests of deploy/elk, and models of the parts of the Elastic Stack that cannot run here.

The first draft of this configuration had these faults; tests named after them prevent each.

E1  the input `log`, which Filebeat 9 refuses            test_filebeat_config
E2  options of the old input; Filebeat's time was used   test_filebeat_config
E3  an index named without its template                  test_filebeat_config
E4  no retention of 30 and 90 days anywhere              test_elasticsearch_bodies
E5  no TLS, no passwords                                 test_filebeat_config, test_compose
E6  8.11, which lacks the retention that E4 needs        test_compose
E7  no volume for Filebeat's registry                    test_compose
E8  a configuration file whose owner stops Filebeat      test_compose
E9  rotated files were never read to the end             test_filebeat_config, test_filestream_model
E10 the audit log was not shipped                        test_filebeat_config
E11 no data view and no dashboard                        test_kibana_objects
E12 no memory limits, an undeclared volume, no network   test_compose
"""
