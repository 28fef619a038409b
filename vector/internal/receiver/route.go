// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/event"
	"github.com/outkpl/outkpl/vector/internal/body"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// Headers and query parameters by which a request says where its events go. A path
// wins over a header, a header over the query, and those over the configuration.
const (
	// HeaderStream names the stream; query: stream.
	HeaderStream = "X-Kpl-Stream"
	// HeaderKey is the partition key of all events; query: partition_key.
	HeaderKey = "X-Kpl-Partition-Key"
	// HeaderKeyField is the field with the partition key; query: partition_key_field.
	HeaderKeyField = "X-Kpl-Partition-Key-Field"

	streamsPath = "/streams/"
	otlpPath    = "/v1/logs"
)

// route is the configuration of some paths, made ready.
type route struct {
	config.Route
	source   string // where dead letters say they came from
	key      keyRule
	missing  keyRule // the key of events without one, if the policy is constant:
	body     body.Options
	pack     *event.Compression // nil: none
	counters routeCounters
}

func newRoute(cfg config.Route, limits *config.Limits, source string) (*route, error) {
	r := &route{Route: cfg, source: source}
	var errs [3]error
	r.key, errs[0] = parseKeyRule(cfg.PartitionKey)
	if strings.HasPrefix(cfg.PartitionKeyMissing, config.ConstantPrefix) {
		r.missing, errs[1] = parseKeyRule(cfg.PartitionKeyMissing)
	}
	r.pack, errs[2] = event.NewCompression(cfg.Compression, cfg.CompressionLevel)
	r.body = body.Options{
		Limits: body.Limits{
			CompressedBytes: int(limits.WireMaxBytes), UnpackedBytes: int(limits.BodyMaxBytes),
			ConvertedBytes: int(limits.BodyMaxBytes), Events: limits.MaxEvents,
		},
		Wrapper: cfg.Wrapper, KeepLayout: cfg.KeepLayout, KeepEmptyLines: cfg.KeepEmptyLines,
		UnquoteStrings: cfg.UnquoteStrings, RejectInvalidUTF8: cfg.RejectInvalidUTF8,
		TimeKey: cfg.TimeKey, OmitTime: cfg.TimeKey == "",
		OmitResource: !cfg.Resource, OmitScope: !cfg.Scope,
		// With a log key what is sent is not the event, so the newline comes later.
		AppendNewline: cfg.AppendNewline && cfg.LogKey == "",
	}
	return r, errors.Join(errs[:]...)
}

// destination is where the events of one request go.
type destination struct {
	stream string
	key    keyRule
	format body.Format
	// scope tells apart bodies that are equal but not delivered equally.
	scope string
	// agent is what the client calls itself, or empty where clients are not told apart:
	// a body that only begins like another one is then not known by that.
	agent string
}

// plainPath returns the path without doubled slashes and without one at the end, as
// base addresses with a slash at their end make them. Clients drop what a 404 answers. A
// path that routes[] names as it is stays.
func (s *Server) plainPath(p string) string {
	if !strings.Contains(p, "//") && (len(p) < 2 || p[len(p)-1] != '/') {
		return p
	}
	if _, n := s.routeOf(p); n >= 0 {
		return p
	}
	var plain strings.Builder
	for part := range strings.SplitSeq(p, "/") {
		if part != "" {
			plain.WriteByte('/')
			plain.WriteString(part)
		}
	}
	if plain.Len() == 0 {
		return "/"
	}
	return plain.String()
}

// withPath returns the request for another path.
func withPath(r *http.Request, p string) *http.Request {
	again, u := *r, *r.URL
	u.Path, u.RawPath = p, ""
	again.URL = &u
	return &again
}

// routeOf finds the configuration for a path, which is number n of routes[] or -1.
func (s *Server) routeOf(urlPath string) (*route, int) {
	for i, r := range s.routes {
		if ok, _ := path.Match(r.Match, urlPath); ok {
			return r, i
		}
	}
	return s.fallback, -1
}

// destinationOf reads path, headers and query.
func (s *Server) destinationOf(r *http.Request, rt *route, number int) (*destination, *failure) {
	d := &destination{key: rt.key}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		// Half of a query might name another stream.
		return nil, unusable(ReasonPath, "the query cannot be read")
	}
	given := func(header, parameter, prefix string) string {
		v := strings.TrimSpace(r.Header.Get(header))
		if v == "" {
			v = query.Get(parameter)
		}
		// Vector refuses templates that begin with a field, so that its headers need
		// something in front: "stream={{ field }}".
		return strings.TrimPrefix(v, prefix)
	}
	named, underStreams := strings.CutPrefix(r.URL.Path, streamsPath)
	switch {
	case underStreams && named != "" && !strings.Contains(named, "/"):
		d.stream = named
	case r.URL.Path == "/" || r.URL.Path == otlpPath || r.URL.Path == nativePush || number >= 0:
		d.stream = given(HeaderStream, "stream", "stream=")
	default:
		return nil, never(http.StatusNotFound, ReasonPath, "no such path; want POST /streams/STREAM, / or /v1/logs")
	}
	if f := s.checkStream(d, rt); f != nil {
		return nil, f
	}
	if f := d.overrideKey(given(HeaderKey, "partition_key", "key="), given(HeaderKeyField, "partition_key_field", "field=")); f != nil {
		return nil, f
	}
	f, err := formatOf(rt.Format, r)
	if err != nil {
		return nil, undeclared(err)
	}
	d.format = f
	d.scope = strings.Join([]string{strconv.Itoa(number), strconv.Itoa(int(f)), d.stream, s.clientOf(r), d.key.text}, "\x00")
	if s.cfg.Ledger.Client != "any" {
		d.agent = "agent " + r.Header.Get("User-Agent")
	}
	return d, nil
}

// clientOf tells clients apart for the ledger, so that what one has given up is not
// taken for what another sends. The port is another one with each connection.
func (s *Server) clientOf(r *http.Request) string {
	if s.cfg.Ledger.Client == "any" {
		return ""
	}
	if f := r.Header.Get("X-Forwarded-For"); f != "" {
		// The proxies between here and there may be others the next time.
		first, _, _ := strings.Cut(f, ",")
		if first = strings.TrimSpace(first); first != "" {
			return addressOf(first)
		}
	}
	return addressOf(r.RemoteAddr)
}

// addressOf takes the port off an address, which may be in brackets. Some proxies add the
// port of the connection, which is another one each time.
func addressOf(text string) string {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	if a, err := netip.ParseAddr(text); err == nil {
		return a.Unmap().String()
	}
	return text
}

func (s *Server) checkStream(d *destination, rt *route) *failure {
	switch {
	case d.stream == "" && rt.Stream == "":
		return never(http.StatusBadRequest, ReasonStreamMissing, "no stream is named, and there is no default stream")
	case d.stream == "":
		d.stream = rt.Stream
	case d.stream != rt.Stream && !allowed(rt.Streams, d.stream):
		return never(http.StatusForbidden, ReasonStreamForbidden, "this stream is not in route.streams")
	}
	return nil
}

func allowed(patterns []string, stream string) bool {
	if name, _, err := core.ParseStream(stream); err != nil || name != stream {
		return false
	}
	for _, p := range patterns {
		if ok, _ := path.Match(p, stream); ok {
			return true
		}
	}
	return false
}

func (d *destination) overrideKey(constant, field string) *failure {
	var text string
	switch {
	case constant != "":
		text = config.ConstantPrefix + constant
	case field != "":
		text = field
	default:
		return nil
	}
	rule, err := parseKeyRule(text)
	if err != nil {
		// The error shows the value, which is not for logs.
		return unusable(ReasonKeyOverride, "the partition key of header or query is not valid; want 1 to 256 characters, or a field such as a, a->b or $a['b'][0]")
	}
	d.key = rule
	return nil
}

func formatOf(configured string, r *http.Request) (body.Format, error) {
	if r.URL.Path == nativePush {
		return body.FormatVector, nil
	}
	ct := r.Header.Get("Content-Type")
	switch configured {
	case "json":
		return body.FormatJSON, nil
	case "lines":
		return body.FormatText, nil
	case "msgpack":
		return body.FormatMsgpack, nil
	case "otlp":
		return body.FormatOf(ct, otlpPath)
	}
	return body.FormatOf(ct, r.URL.Path)
}
