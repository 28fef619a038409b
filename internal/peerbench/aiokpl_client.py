# SPDX-License-Identifier: Apache-2.0
"""Sends records with aiokpl and prints the seconds until all are confirmed."""

import os
import sys
import time

import anyio
from aiokpl import Config, Producer

ENDPOINT, STREAM, COUNT, DATA_BYTES = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


async def main() -> None:
    config = Config(
        region="us-east-1",
        endpoint_url=ENDPOINT,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        rate_limit_records_per_sec_per_shard=1e9,
        rate_limit_bytes_per_sec_per_shard=1e12,
    )
    records = [(os.urandom(8).hex(), os.urandom(DATA_BYTES)) for _ in range(COUNT)]
    async with Producer(config) as producer:
        start = time.perf_counter()
        outcomes = [
            await producer.put_record(stream=STREAM, partition_key=key, data=data) for key, data in records
        ]
        results = [await outcome.wait() for outcome in outcomes]
        elapsed = time.perf_counter() - start
    failed = sum(not result.success for result in results)
    if failed:
        sys.exit(f"{failed} of {COUNT} records failed")
    print(elapsed)


anyio.run(main)
