// SPDX-License-Identifier: Apache-2.0
//
// Runs one Kinesis emulator on a free port of the loopback address:
//
//	node serve.js kinesalite|kinesis-local
//
// Options come from the environment (see serve.go). The line "listening PORT" on
// standard output says where. The process ends when its standard input does, so
// that it cannot outlive the process that started it, however that ended.
'use strict'

const net = require('net')
const path = require('path')

process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume()

// Both emulators would take requests from the network, at fixed ports; kinesis-local
// has no option against the first. It also opens a port for TLS, which is of no
// use here (no client can verify its certificate) and is not announced.
const TLS_PORT = 4567
const listen = net.Server.prototype.listen
net.Server.prototype.listen = function (...args) {
  const wanted = args[0] !== null && typeof args[0] === 'object' ? args[0].port : args[0]
  const done = args.find((a) => typeof a === 'function')
  this.once('listening', () => {
    if (wanted !== TLS_PORT) console.log(`listening ${this.address().port}`)
  })
  return listen.call(this, { host: '127.0.0.1', port: 0 }, ...(done ? [done] : []))
}

// kinesalite dies of a client that breaks off in the middle of a request, as a
// producer does that is closed. A real service does not.
process.on('uncaughtException', (err) => {
  if (err.code === 'ECONNRESET') return
  console.error(err)
  process.exit(1)
})

const ms = (name, otherwise) => Number(process.env[name] || otherwise)

switch (process.argv[2]) {
  case 'kinesalite':
    require('kinesalite')({
      createStreamMs: ms('EMULATOR_CREATE_MS', 10),
      deleteStreamMs: ms('EMULATOR_CREATE_MS', 10),
      updateStreamMs: ms('EMULATOR_RESHARD_MS', 100),
      shardLimit: 500,
    }).listen()
    break
  case 'kinesis-local': {
    const main = require.resolve('kinesis-local/main.js')
    Object.assign(process.env, {
      // The default is a path relative to the working directory.
      KINESIS_MOCK_CERT_PATH: path.join(path.dirname(main), 'server.json'),
      SHARD_LIMIT: '500', // closed shards count too
      CREATE_STREAM_DURATION: `${ms('EMULATOR_CREATE_MS', 10)}ms`,
      DELETE_STREAM_DURATION: `${ms('EMULATOR_CREATE_MS', 10)}ms`,
      SPLIT_SHARD_DURATION: `${ms('EMULATOR_RESHARD_MS', 100)}ms`,
      MERGE_SHARDS_DURATION: `${ms('EMULATOR_RESHARD_MS', 100)}ms`,
      KINESIS_MOCK_TLS_PORT: `${TLS_PORT}`,
      LOG_LEVEL: 'ERROR',
    })
    process.argv.length = 2 // it may read arguments
    require(main)
    break
  }
  default:
    console.error('usage: node serve.js kinesalite|kinesis-local')
    process.exit(2)
}
