// SPDX-License-Identifier: Apache-2.0
//
// De-aggregates Kinesis records with aws-kinesis-agg. Standard input holds one
// record a line as JSON: {partitionKey, sequenceNumber, data: base64}. Standard output
// gets one user record a line: {partitionKey, explicitPartitionKey, sequenceNumber,
// subSequenceNumber, data: base64}. A record that is refused goes to standard error
// by its sequence number, and the exit code is 1.
'use strict'

const fs = require('fs')
const { deaggregateSync } = require('aws-kinesis-agg')

const out = []
for (const line of fs.readFileSync(0, 'utf8').split('\n')) {
  if (line === '') continue
  const record = JSON.parse(line)
  deaggregateSync(record, true, (err, users) => {
    if (err) {
      console.error(`record ${record.sequenceNumber}: ${err.message}`)
      process.exitCode = 1
      return
    }
    for (const u of users) out.push(JSON.stringify(u) + '\n')
  })
}
// Synchronous: a pipe might not be drained when the process ends.
const bytes = Buffer.from(out.join(''))
for (let at = 0; at < bytes.length; ) {
  try {
    at += fs.writeSync(1, bytes, at)
  } catch (err) {
    if (err.code !== 'EAGAIN') throw err
  }
}
