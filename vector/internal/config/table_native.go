// SPDX-License-Identifier: Apache-2.0

package config

import "strings"

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
	{Key: "native.listen", Default: "off", Form: "host:port, or off", check: checkAddressOrOff,
		Doc:   "Where sinks of type vector of other Vector instances are served, over gRPC.",
		field: func(c *Config) any { return &c.Native.Listen }},
	{Key: "native.credentials", Kind: KindBool, Default: "false",
		Doc:   "Ask there, too, for the credentials of auth. Vector cannot send any, only a proxy in between can; for Vector itself use tls.client_ca_file.",
		field: func(c *Config) any { return &c.Native.Credentials }},
	{Key: "native.metrics", Default: AsJSON, Enum: []string{AsJSON, Drop, Reject},
		Doc:   "What to do with metrics that come there. reject refuses the whole request, which makes Vector drop it.",
		field: func(c *Config) any { return &c.Native.Metrics }},
	{Key: "native.traces", Default: AsJSON, Enum: []string{AsJSON, Drop, Reject},
		Doc:   "What to do with traces that come there; as native.metrics.",
		field: func(c *Config) any { return &c.Native.Traces }},
}

func (c *Config) checkNative(bad func(key, format string, args ...any)) {
	if !c.Native.Enabled() {
		return
	}
	if a := c.Native.Listen; (a == c.Server.Listen || a == c.Server.AdminListen) && !strings.HasSuffix(a, ":0") {
		bad("native.listen", "value %s is the address of another listener; want another one, or off", a)
	}
	if c.Auth.Enabled() && !c.Native.Credentials && (c.TLS.ClientCAFile == "" || c.TLS.ClientAuth != "require") {
		bad("native.credentials", "value false would let in whoever reaches native.listen, although auth is set; want true, or certificates of clients by tls.client_ca_file")
	}
}
