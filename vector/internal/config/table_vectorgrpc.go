// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"

	"github.com/outkpl/outkpl/internal/option"
)

// Native is about the listener for Vector's own protocol.
type Native struct {
	Listen      string
	Credentials bool
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
	if a := c.Native.Listen; (a == c.Server.Listen || a == c.Server.AdminListen) && !strings.HasSuffix(a, ":0") {
		bad("native.listen", a, "the address of another listener", "another one, or off")
	}
	if c.Auth.Enabled() && !c.Native.Credentials && (c.TLS.ClientCAFile == "" || c.TLS.ClientAuth != "require") {
		bad("native.credentials", "false", "lets in every client that reaches native.listen, although auth is set", "true, or certificates of clients by tls.client_ca_file")
	}
}
