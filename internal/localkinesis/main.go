// SPDX-License-Identifier: Apache-2.0

// Command localkinesis serves the Kinesis of package kinesistest, for docker/compose.yml
// and for trying things out without an AWS account. It keeps records in memory only,
// never drops one, and checks no signature.
//
//	localkinesis -listen 127.0.0.1:4567 -streams logs:4,audit:1
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/outkpl/outkpl/core/kinesistest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	listen := flag.String("listen", "127.0.0.1:4567", "address")
	streams := flag.String("streams", "logs:4", "streams and their shards: NAME:SHARDS,...")
	region := flag.String("region", "eu-west-1", "region in the ARNs")
	flag.Parse()
	err := serve(ctx, *listen, *streams, *region)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "localkinesis:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, listen, streams, region string) error {
	opts, err := parse(streams)
	if err != nil {
		return err
	}
	s := kinesistest.New(append(opts, kinesistest.WithLimits(kinesistest.AWSLimits), kinesistest.WithRegion(region))...)
	if err := s.StartAt(listen); err != nil {
		return err
	}
	fmt.Println("serving at", s.URL())
	<-ctx.Done()
	return s.Close()
}

// parse reads NAME:SHARDS,NAME:SHARDS.
func parse(streams string) (opts []kinesistest.Option, err error) {
	var errs []error
	for _, one := range strings.Split(streams, ",") {
		name, count, ok := strings.Cut(one, ":")
		n, err := strconv.Atoi(count)
		if !ok || name == "" || err != nil || n < 1 || n > 500 {
			errs = append(errs, fmt.Errorf("unexpected stream; got %q; want NAME:SHARDS with 1 to 500 shards", one))
			continue
		}
		opts = append(opts, kinesistest.WithStream(name, n))
	}
	return opts, errors.Join(errs...)
}
