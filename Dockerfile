FROM python:3.11-slim-bookworm AS build
WORKDIR /build
COPY requirements requirements
RUN python -m venv /opt/aliaport \
    && /opt/aliaport/bin/pip install --no-cache-dir --require-hashes -r requirements/runtime.txt \
    && pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY aliaport aliaport
COPY plugins plugins
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . ./plugins/*/ \
    && /opt/aliaport/bin/pip install --no-cache-dir --no-deps --no-index /wheels/*.whl \
    && /opt/aliaport/bin/pip uninstall --yes setuptools pip

FROM python:3.11-slim-bookworm
# Nothing is installed at run time, so remove the installers.
RUN pip uninstall --yes wheel setuptools pip \
    && groupadd --gid 10001 aliaport \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin aliaport \
    && install -d -o aliaport -g aliaport /app/logs
COPY --from=build /opt/aliaport /opt/aliaport
COPY deploy/aliaport.toml /etc/aliaport/aliaport.toml
ENV PATH=/opt/aliaport/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ENVIRONMENT=production \
    ALIAPORT_CONFIG=/etc/aliaport/aliaport.toml \
    ALIAPORT_LOG__FOLDER=/app/logs \
    ALIAPORT_LOG__STDOUT=true
VOLUME /app/logs
# Numeric, because Kubernetes cannot verify that a named user is not root.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["python", "-m", "aliaport.healthcheck"]
ENTRYPOINT ["aliaport"]
CMD ["serve"]
