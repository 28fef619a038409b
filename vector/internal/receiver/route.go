// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/internal/event"
	"github.com/outkpl/outkpl/internal/plural"
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
	source  string // where dead letters say they came from
	key     keyRule
	missing keyRule // the key of events without one, if the policy is constant:
	body    body.Options
	pack    *event.Compression // nil: none, or that of combine
	combine *event.Combine     // nil: each event is a record
	// fingerprint is that of the records made of its bodies, ownFingerprint that of records
	// made for a stream on which each is a Kinesis record of its own.
	fingerprint, ownFingerprint delivery.Fingerprint
	counters                    routeCounters
}

func newRoute(all *config.Config, cfg config.Route, source string) (*route, error) {
	r := &route{Route: cfg, source: source, fingerprint: fingerprintOf(all, cfg, false), ownFingerprint: fingerprintOf(all, cfg, true)}
	limits := &all.Limits
	var errs [4]error
	r.key, errs[0] = parseKeyRule(cfg.PartitionKey)
	if strings.HasPrefix(cfg.PartitionKeyMissing, config.ConstantPrefix) {
		r.missing, errs[1] = parseKeyRule(cfg.PartitionKeyMissing)
	}
	if r.combine, errs[3] = event.NewCombine(cfg.CombineConfig()); r.combine == nil {
		r.pack, errs[2] = event.NewCompression(cfg.Compression, cfg.CompressionLevel)
	}
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
		AppendNewline: cfg.AppendNewline && cfg.LogKey == "" && r.combine == nil,
	}
	return r, errors.Join(errs[:]...)
}

// destination is where the events of one request go.
type destination struct {
	route  *route
	stream string
	key    keyRule
	form   body.Form // of the body
	// scope tells apart bodies that are equal but not delivered equally.
	scope string
	// agent is what the client calls itself, or empty where clients are not told apart:
	// a body that only begins like another one is then not known by that.
	agent string
	// named tells that the client has named the body; the name is in scope.
	named bool
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
	d := &destination{route: rt, key: rt.key}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		// Half of a query might name another stream.
		return nil, unusable(ReasonPath, "the query cannot be read")
	}
	var twice *failure
	given := func(header, parameter, prefix string) string {
		v, where := r.Header.Values(header), header
		if len(v) == 0 || strings.TrimSpace(v[0]) == "" && len(v) == 1 {
			v, where = query[parameter], "the query parameter "+parameter
		}
		if len(v) == 0 {
			return ""
		}
		for _, other := range v[1:] {
			if other != v[0] && twice == nil {
				// Whichever is taken, the other one may have been meant.
				twice = unusable(ReasonPath, fmt.Sprintf("%s has %s that differ; want one", where, plural.Count(len(v), "value")))
			}
		}
		// Vector refuses templates that begin with a field, so that its headers need something before it: "stream={{ field }}".
		return strings.TrimPrefix(strings.TrimSpace(v[0]), prefix)
	}
	named, underStreams := strings.CutPrefix(r.URL.Path, streamsPath)
	switch {
	case underStreams && named != "" && (!strings.Contains(named, "/") || strings.HasPrefix(named, arnPrefix)):
		d.stream = named
	case r.URL.Path == "/" || r.URL.Path == otlpPath || isPush(r.URL.Path) || number >= 0:
		d.stream = given(HeaderStream, "stream", "stream=")
	default:
		return nil, permanent(http.StatusNotFound, ReasonPath, "no such path; want POST /streams/STREAM, / or /v1/logs")
	}
	constant, field := given(HeaderKey, "partition_key", "key="), given(HeaderKeyField, "partition_key_field", "field=")
	if twice != nil {
		return nil, twice
	}
	if f := s.checkStream(d, rt); f != nil {
		return nil, f
	}
	if f := d.overrideKey(constant, field); f != nil {
		return nil, f
	}
	f, err := formatOf(rt.Format, r)
	if err != nil {
		return nil, s.unreadable(err)
	}
	d.form = body.Form{ContentType: r.Header.Get("Content-Type"), Format: f}
	if !isPush(r.URL.Path) { // there it is that of the message
		d.form.Encodings = strings.Trim(strings.Join(r.Header.Values("Content-Encoding"), ","), ", ")
	}
	d.scope = strings.Join([]string{strconv.Itoa(number), strconv.Itoa(int(f)), d.stream, s.clientOf(r), d.key.text}, "\x00")
	if h := s.cfg.Ledger.KeyHeader; h != config.NoKeyHeader && r.Header.Get(h) != "" {
		d.scope, d.named = d.scope+"\x00named "+r.Header.Get(h), true
		return d, nil
	}
	if s.cfg.Ledger.Client != "any" {
		d.agent = "agent " + r.Header.Get("User-Agent")
	}
	return d, nil
}

// isPush tells whether a path is of a method that takes events over gRPC.
func isPush(path string) bool { return path == nativePush || path == otlpPush }

// clientOf tells clients apart for the ledger, so that what one has given up is not
// taken for what another sends. The port is another one with each connection.
func (s *Server) clientOf(r *http.Request) string {
	if s.cfg.Ledger.Client == "any" {
		return ""
	}
	if f := r.Header.Get("X-Forwarded-For"); f != "" {
		// The proxies between here and there may be others the next time.
		first, _, _ := strings.Cut(f, ",")
		if first = strings.Trim(first, " \t\""); first != "" {
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
		return permanent(http.StatusBadRequest, ReasonStreamMissing, "no stream is named, and there is no default stream")
	case d.stream == "":
		d.stream = rt.Stream
	case d.stream == nameOf(rt.Stream):
		d.stream = rt.Stream // which may be the ARN of it
	case d.stream == rt.Stream:
	default:
		return d.allowed(rt.Streams)
	}
	return nil
}

// arnPrefix begins every ARN, and no name of a stream.
const arnPrefix = "arn:"

// nameOf is the name of a stream that the configuration names by name or ARN.
func nameOf(stream string) string {
	name, _, _ := core.ParseStream(stream) // checked with the configuration
	return name
}

// allowed says why a request may not name this stream. The texts do not show the name, which
// is the client's.
func (d *destination) allowed(patterns []string) *failure {
	const want = "want the name of a stream in route.streams, 1 to 128 of the characters a-z A-Z 0-9 _ . -"
	name, _, err := core.ParseStream(d.stream)
	switch {
	case strings.HasPrefix(d.stream, arnPrefix):
		return permanent(http.StatusForbidden, ReasonStreamForbidden, "the request names its stream by an ARN that is not route.stream; "+want)
	case err != nil || name != d.stream:
		return permanent(http.StatusForbidden, ReasonStreamForbidden,
			fmt.Sprintf("the request names a stream by %d bytes that are no name of a stream; %s", len(d.stream), want))
	}
	for _, p := range patterns {
		if ok, _ := path.Match(p, d.stream); ok {
			return nil
		}
	}
	return permanent(http.StatusForbidden, ReasonStreamForbidden, "this stream is not in route.streams")
}

func (d *destination) overrideKey(constant, field string) *failure {
	var text string
	switch {
	case constant != "":
		constant = validText(constant)
		if n := utf8.RuneCountInString(constant); n > event.MaxKeyCharacters {
			return unusable(ReasonKeyOverride, fmt.Sprintf("%s or the query parameter partition_key: a partition key of %d characters; allowed: 1 to %d", HeaderKey, n, event.MaxKeyCharacters))
		}
		text = config.ConstantPrefix + constant
	case field != "":
		text = validText(field)
	default:
		return nil
	}
	rule, err := parseKeyRule(text)
	if err != nil {
		// The error shows the value, which is not for logs.
		return unusable(ReasonKeyOverride, HeaderKeyField+" or the query parameter partition_key_field: not the path of a field; want a field such as a, a->b or $a['b'][0]")
	}
	d.key = rule
	return nil
}

// validText replaces each byte that is not UTF-8 by U+FFFD, as in keys out of events.
func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.Map(func(r rune) rune { return r }, s)
}

func formatOf(configured string, r *http.Request) (body.Format, error) {
	switch r.URL.Path {
	case nativePush:
		return body.FormatVector, nil
	case otlpPush:
		return body.FormatOTLPProto, nil
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
