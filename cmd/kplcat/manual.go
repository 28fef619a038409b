// SPDX-License-Identifier: Apache-2.0

package main

const manualHead = `kplcat shows what is in a Kinesis stream: every shard, aggregates of the KPL
disaggregated, one line for each user record: of JSON, or on a terminal of time,
shard, key and text.

Usage:
  kplcat [flags] STREAM         STREAM is a name or an ARN
  kplcat [flags] FILE... | -    blobs from files (paths with a /) or standard input
  kplcat doctor [flags] STREAM  what stands between you and the stream
  kplcat top [flags] STREAM...  what comes in, by stream, shard and key

Examples:
  kplcat logs                                 everything there is
  kplcat --from -15m logs | jq -c .data       the last quarter of an hour
  kplcat --follow --grep ERROR logs           what comes, if it matches
  kplcat --raw --from -1h --key web-1 logs    payloads of one partition key
  kplcat --stats --from trim-horizon logs     what aggregation saves
  kplcat --verify sent.log --from -1h logs    are these events there, and how often
  kplcat --endpoint http://127.0.0.1:4567 --region us-east-1 logs
  aws kinesis get-records --shard-iterator "$it" | kplcat -
  echo 84mawg... | kplcat -                   one aggregate in base64

`

const manualTail = `
Output:
  On a terminal a line has time (UTC), shard, partition key and payload; control
  characters are escaped, bytes that are not text are in base64, and what consumers
  built on the KCL do not get is marked in brackets.
  With --format json, or if the output is no terminal, one JSON object a line, its
  fields in this order:
    shard              id of the shard; left out if it is not known
    source             file and line or document, for blobs from files
    sequence           sequence number of the Kinesis record
    subsequence        place in the aggregate, from 0; only for aggregated records
    event              number in the record, from 0, with --events; not for records
                       that are not combined ones
    arrival            when Kinesis took it, in UTC
    key                partition key of the user record; key_base64 if it is not UTF-8
    explicit_hash_key  if the aggregate has one (Kinesis does not give back that of
                       a record that is not aggregated)
    aggregated         true if it was in an aggregate
    misplaced          true for all user records of an aggregate if the hash key of
                       one is out of the shard's range: consumers built on the KCL
                       drop the whole aggregate
    out_of_range       true if this is such a one
    kcl_error          what the KCL fails on in this aggregate
    damaged_aggregate  true if the record begins as an aggregate and is none
    tags               if the aggregate has any
    compression        what --decompress undid
    data               the payload: a string if it is text (then it is the payload
                       itself), an object or an array if it is JSON of that kind
    data_base64        the payload, if it is neither
    bytes              the payload's length, with --data none only
  --data text shows JSON as text, too; --data json shows all valid JSON as JSON, and
  everything else in base64; --data base64 shows all in base64.

  Records of a shard come in order, and after those of the shard's parents. Between
  other shards there is no order: sort by arrival if you need one.
  A summary goes to standard error at the end.

Table of --stats:
  kinesis, user  Kinesis records and user records
  user/agg       mean number of user records of an aggregate
  bytes          data and partition keys of the Kinesis records
  units, single  PUT payload units (25 KiB each) of the Kinesis records, and of the
                 user records (with --events: of the events) if each had been a
                 Kinesis record; saved: the difference
  misplaced-agg  aggregates that consumers built on the KCL drop; misplaced: all user
                 records in them; out-of-range: those because of which they do
  kcl-errors     aggregates that the KCL fails on
  damaged        records that begin as an aggregate and are none
  keys           different partition keys of user records; a + means at least
  first, last    arrival, in UTC
  events         with --events: those of the user records; unpacked: the bytes of the
                 user records before compression; usd: the price of the units, and
                 usd-on-demand that of the bytes on an on-demand stream (each record
                 in whole KiB), in US East (N. Virginia), without hours

  left-out       with --dedupe: Kinesis records that came before; left-out-user: the
                 user records in them. No other column counts them

Output of --verify:
  A line for each line of the file whose event is in the stream less often (missing)
  or more often (more) than it was given, and a line of counts. With --json:
  {"line":2,"what":"missing","given":2,"found":1}, and last
  {"given":..,"different":..,"as_given":..,"missing":..,"more":..,
  "missing_copies":..,"more_copies":..,"not_given":..}

Limits it keeps to:
  A shard takes five GetRecords calls and 2 MiB a second from all consumers without
  enhanced fan-out together. kplcat asks a shard five times a second at most and
  waits when it is throttled, but still takes its part: mind that on a busy stream.

Permissions: kinesis:ListShards, kinesis:GetShardIterator, kinesis:GetRecords, and
kms:Decrypt on the key of an encrypted stream. Credentials come from where the AWS
SDK looks: environment, shared files, web identity, container, instance.

Exit codes: 0 done (also when interrupted, or when the reader of the output has
gone); 1 something failed, or --verify has found an event missing or there more often
than given; 2 the command line is wrong.
`
