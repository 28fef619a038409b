// SPDX-License-Identifier: Apache-2.0

package awsclient

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// ParseEndpoint turns a host, host:port or http(s)://host[:port] into a URL. What
// comes without a scheme means https. Empty stays empty: the service's own
// endpoint.
func ParseEndpoint(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	text := s
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	ok := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		(u.Path == "" || u.Path == "/") && u.RawQuery == "" && u.Fragment == "" && u.User == nil && validHost(u.Hostname())
	if ok && u.Port() != "" {
		n, err := strconv.Atoi(u.Port())
		ok = err == nil && n >= 1 && n <= 65535
	}
	if ok && strings.HasSuffix(u.Host, ":") {
		ok = false
	}
	if !ok {
		return "", fmt.Errorf("endpoint %q is not valid; allowed: host, host:port, http://host[:port] or https://host[:port]", WithoutPassword(s))
	}
	return u.Scheme + "://" + u.Host, nil
}

// WithoutPassword is s, which may or may not be a URL, without what stands for user and
// password in one, for error and log lines.
func WithoutPassword(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return s
	}
	begin := 0
	if i := strings.Index(s[:at], "//"); i >= 0 {
		begin = i + len("//")
	}
	return s[:begin] + "..." + s[at:]
}

// ParseProxy reads the URL of a proxy. Empty is nil: what the environment says. The
// error does not show the URL, which may have a password.
func ParseProxy(s string) (*url.URL, error) {
	if s == "" {
		return nil, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5" || u.Hostname() == "" || !validHost(u.Hostname()) {
		return nil, errors.New("proxy is not valid; allowed: http://, https:// or socks5:// with [user:password@]host[:port]")
	}
	return u, nil
}

// isLocal tells whether host is this machine or one of the addresses at which
// credentials are offered to it (169.254.169.254, 169.254.170.2, 169.254.170.23,
// fd00:ec2::23, fd00:ec2::254), which no proxy can reach for it.
func isLocal(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.IsLoopback() || ip.IsLinkLocalUnicast() || netip.MustParsePrefix("fd00:ec2::/32").Contains(ip))
}

func validHost(h string) bool {
	if net.ParseIP(h) != nil {
		return true
	}
	for i := 0; i < len(h); i++ {
		c := h[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_') {
			return false
		}
	}
	return len(h) <= 253
}
