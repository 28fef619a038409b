// SPDX-License-Identifier: Apache-2.0

package awsclient

import (
	"net/http"
	"net/url"
)

// ProxyOf is the proxy that a request goes through.
func ProxyOf(c Config, r *http.Request) (*url.URL, error) {
	return newHTTPClient(&c).GetTransport().Proxy(r)
}
