# SPDX-License-Identifier: Apache-2.0
"""Sends events by OpenTelemetry's SDK for Python: send.py http|grpc ADDRESS NAME COUNT SECONDS."""

import logging
import sys
import time

from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

way, address, name, count, seconds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5])
logging.basicConfig(level=logging.WARNING)
if way == "grpc":
    from grpc import Compression
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter

    exporter = OTLPLogExporter(endpoint=address, insecure=True, timeout=60, compression=Compression.Gzip)
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

    exporter = OTLPLogExporter(endpoint="http://" + address + "/v1/logs", timeout=60, compression=Compression.Gzip)
provider = LoggerProvider()
provider.add_log_record_processor(
    BatchLogRecordProcessor(exporter, schedule_delay_millis=300, max_queue_size=max(count, 512), export_timeout_millis=60_000)
)
logger = provider.get_logger("shippers")
for i in range(count):
    logger.emit(LogRecord(timestamp=time.time_ns(), body=f"{name} line {i} end"))
    time.sleep(seconds / count)
provider.shutdown()
