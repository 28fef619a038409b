// SPDX-License-Identifier: Apache-2.0
//
// Sends events by OpenTelemetry's SDK for JavaScript: send.js http|json|grpc ADDRESS NAME COUNT SECONDS.
// It prints the numbers of the events that the exporter says are lost.
"use strict";

const { BatchLogRecordProcessor, LoggerProvider } = require("@opentelemetry/sdk-logs");

const [way, address, name, count, seconds] = [...process.argv.slice(2, 5), Number(process.argv[5]), Number(process.argv[6])];
const packages = {
  http: "@opentelemetry/exporter-logs-otlp-proto",
  json: "@opentelemetry/exporter-logs-otlp-http",
  grpc: "@opentelemetry/exporter-logs-otlp-grpc",
};
const { OTLPLogExporter } = require(packages[way]);
const exporter = new OTLPLogExporter({
  url: way === "grpc" ? "http://" + address : "http://" + address + "/v1/logs",
  compression: "gzip",
  timeoutMillis: 60000,
});
const told = {
  export(records, done) {
    exporter.export(records, (result) => {
      if (result.code !== 0) for (const r of records) console.log("lost " + r.body.match(/line ([0-9]+) end/)[1]);
      done(result);
    });
  },
  forceFlush: () => exporter.forceFlush(),
  shutdown: () => exporter.shutdown(),
};
const provider = new LoggerProvider({
  processors: [new BatchLogRecordProcessor({ exporter: told, maxQueueSize: count + 1, scheduledDelayMillis: 300, exportTimeoutMillis: 60000 })],
});
const logger = provider.getLogger("shippers");

(async () => {
  for (let i = 0; i < count; i++) {
    logger.emit({ timestamp: Date.now(), body: `${name} line ${i} end` });
    await new Promise((resolve) => setTimeout(resolve, (seconds * 1000) / count));
  }
  await provider.shutdown();
})();
