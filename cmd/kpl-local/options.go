// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/option"
)

// options are what the command line asks for.
type options struct {
	listen, region, data string
	streams              []stream
	unlimited            bool

	help, version bool
	completion    string
}

// stream is one to be there at the start.
type stream struct {
	name   string
	shards int
}

const maxShards = 500

const (
	groupServer = "Server"
	groupOther  = "Other"
)

var flags = []option.Option[options]{
	{
		Spec: option.Spec{
			Name: "listen", Arg: "HOST:PORT", Default: "127.0.0.1:4567", Group: groupServer, Form: "host:port; a host of 0.0.0.0 takes requests from other machines", Check: checkAddress,
			Doc: "Where calls are taken, over plain HTTP. Default 127.0.0.1:4567.",
		},
		Field: func(o *options) any { return &o.listen },
	},
	{
		Spec: option.Spec{
			Name: "streams", Arg: "LIST", Default: "logs:4", Group: groupServer, Form: fmt.Sprintf("NAME:SHARDS,NAME:SHARDS, with 1 to %d shards; empty: none", maxShards),
			Doc: "Streams to create, if they are not in the folder of --data already. Clients can create more. Default logs:4.",
		},
		Parse: func(o *options, v string) (err error) {
			o.streams, err = parseStreams(v)
			return err
		},
	},
	{
		Spec: option.Spec{
			Name: "data", Arg: "DIR", Group: groupServer, Form: "path of a folder, which is made if it is missing",
			Doc: "Keep everything in this folder, too, and begin with what is there. Without it all is gone at the end.",
		},
		Field: func(o *options) any { return &o.data },
	},
	{
		Spec: option.Spec{
			Name: "unlimited", Kind: option.Bool, Group: groupServer,
			Doc: "Shards without limits. Otherwise they have those of AWS: 1 MiB and 1000 records a second.",
		},
		Field: func(o *options) any { return &o.unlimited },
	},
	{
		Spec: option.Spec{
			Name: "region", Arg: "NAME", Default: "eu-west-1", Group: groupServer,
			Doc: "Region in the ARNs of streams. Clients may use any. Default eu-west-1.",
		},
		Field: func(o *options) any { return &o.region },
	},
	{
		Spec:  option.Spec{Name: "completion", Arg: "SHELL", Enum: option.Shells(), Group: groupOther, Doc: "Print a completion script for bash, zsh or fish."},
		Field: func(o *options) any { return &o.completion },
	},
	{
		Spec:  option.Spec{Name: "help", Aliases: []string{"h"}, Kind: option.Bool, Group: groupOther, Doc: "Print this."},
		Field: func(o *options) any { return &o.help },
	},
	{
		Spec:  option.Spec{Name: "version", Kind: option.Bool, Group: groupOther, Doc: "Print the version."},
		Field: func(o *options) any { return &o.version },
	},
}

func checkAddress(s string) error {
	if _, port, err := net.SplitHostPort(s); err != nil || port == "" {
		return errors.New("not an address")
	}
	return nil
}

// parseStreams reads NAME:SHARDS,NAME:SHARDS.
func parseStreams(list string) (streams []stream, err error) {
	if list == "" {
		return nil, nil
	}
	seen := map[string]bool{}
	for one := range strings.SplitSeq(list, ",") {
		name, count, ok := strings.Cut(strings.TrimSpace(one), ":")
		n, err := strconv.Atoi(count)
		switch {
		case !ok || err != nil || n < 1 || n > maxShards:
			return nil, fmt.Errorf("%q is not NAME:SHARDS", one)
		case seen[name]:
			return nil, fmt.Errorf("%q is there twice", name)
		}
		if parsed, _, err := core.ParseStream(name); err != nil || parsed != name {
			return nil, fmt.Errorf("%q is not the name of a stream", name)
		}
		seen[name] = true
		streams = append(streams, stream{name, n})
	}
	return streams, nil
}
