// SPDX-License-Identifier: Apache-2.0

package config

import (
	"github.com/outkpl/outkpl/internal/option"
)

// Native is about the listener for Vector's own protocol.
type Native struct {
	Listen      string
	Credentials bool
	Anonymous   bool
	Metrics     string
	Traces      string
}

// Enabled tells whether there is such a listener.
func (n *Native) Enabled() bool { return n.Listen != "" && n.Listen != "off" }

// AsJSON is the policy to send an event that is not a log as JSON.
const AsJSON = "json"

var nativeOptions = []Option{
	{
		Spec: option.Spec{
			Name: "native.listen", Default: "off", Form: "host:port, or off", Check: checkAddressOrOff,
			Doc: "Where sinks of type vector of other Vector instances are served, over gRPC.",
		},
		Field: func(c *Config) any { return &c.Native.Listen },
	},
	{
		Spec: option.Spec{
			Name: "native.credentials", Kind: option.Bool, Default: "false",
			Doc: "Ask there, too, for the credentials of auth. Vector cannot send any, only a proxy in between can; for Vector itself use tls.client_ca_file.",
		},
		Field: func(c *Config) any { return &c.Native.Credentials },
	},
	{
		Spec: option.Spec{
			Name: "native.anonymous", Kind: option.Bool, Default: "false",
			Doc: "Let in clients without any credentials there although auth is set, for a listener that only those reach who may send, such as one on the loopback address. A line in the log tells of it.",
		},
		Field: func(c *Config) any { return &c.Native.Anonymous },
	},
	{
		Spec: option.Spec{
			Name: "native.metrics", Default: AsJSON, Enum: []string{AsJSON, Drop, Reject},
			Doc: "What to do with metrics that come there. reject refuses the whole request, which makes Vector drop it.",
		},
		Field: func(c *Config) any { return &c.Native.Metrics },
	},
	{
		Spec: option.Spec{
			Name: "native.traces", Default: AsJSON, Enum: []string{AsJSON, Drop, Reject},
			Doc: "What to do with traces that come there; as native.metrics.",
		},
		Field: func(c *Config) any { return &c.Native.Traces },
	},
}

func (c *Config) checkNative(bad badFunc) {
	if !c.Native.Enabled() {
		return
	}
	if c.Native.Credentials && c.Native.Anonymous {
		bad("native.anonymous", "true", "native.credentials is true, which asks for credentials", "one of them")
	}
	if c.Auth.Enabled() && !c.Native.Credentials && !c.Native.Anonymous && (c.TLS.ClientCAFile == "" || c.TLS.ClientAuth != "require") {
		bad("native.credentials", "false", "lets in every client that reaches native.listen, although auth is set",
			"true, or certificates of clients by tls.client_ca_file, or native.anonymous: true to let them in")
	}
}
