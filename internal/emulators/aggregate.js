// SPDX-License-Identifier: Apache-2.0
//
// Aggregates user records with aws-kinesis-agg. Standard input holds one batch a line
// as JSON: an array of {partitionKey, explicitHashKey, data: base64}, the second being
// optional. Standard output gets one line for each: {partitionKey, explicitHashKey,
// data: base64}. The exit code is 1 if a batch does not fit into one record.
'use strict'

const fs = require('fs')
const { RecordAggregator } = require('aws-kinesis-agg')

for (const line of fs.readFileSync(0, 'utf8').split('\n')) {
  if (line === '') continue
  const aggregator = new RecordAggregator()
  for (const r of JSON.parse(line)) {
    aggregator.addUserRecord({ ...r, data: Buffer.from(r.data, 'base64') })
  }
  const record = aggregator.build()
  console.log(JSON.stringify({
    partitionKey: record.partitionKey,
    explicitHashKey: record.ExplicitHashKey,
    data: record.data.toString('base64'),
  }))
}
