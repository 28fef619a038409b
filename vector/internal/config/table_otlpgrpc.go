// SPDX-License-Identifier: Apache-2.0

package config

import "github.com/outkpl/outkpl/internal/option"

// OTLPGRPC is about the listener for OTLP over gRPC.
type OTLPGRPC struct {
	Listen string
}

var otlpGRPCOptions = []Option{
	{
		Spec: option.Spec{
			Name: "otlp_grpc.listen", Hints: []string{"grpc", "otlp", "otlp_listen"}, Default: "off", Form: "host:port, or off", Check: checkAddressOrOff,
			Doc: "Where logs of OTLP over gRPC are taken; clients expect port 4317. tls, auth, limits, routes and the ledger hold as for HTTP, and an entry of routes for /v1/logs for both.",
		},
		Field: func(c *Config) any { return &c.OTLPGRPC.Listen },
	},
}
