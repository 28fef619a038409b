// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/outkpl/outkpl/internal/remedy"
)

const (
	// soonExpired: credentials that end within this time are worth a warning.
	soonExpired = 15 * time.Minute
	// maxSkew is how far the local clock may be off before AWS refuses
	// signatures (https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html,
	// checked 2026-11-24).
	maxSkew = 5 * time.Minute
	// largeSkew is worth a warning: --until, arrival times and record
	// timestamps disagree.
	largeSkew = 10 * time.Second
)

// endpoint returns where the client sends its calls.
func (e *exam) endpoint(ctx context.Context) (*url.URL, error) {
	o := e.options
	if o.BaseEndpoint != nil {
		return url.Parse(*o.BaseEndpoint)
	}
	p := kinesis.EndpointParameters{
		Region:       &o.Region,
		UseFIPS:      aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
		UseDualStack: aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
	}
	ep, err := kinesis.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, p)
	return &ep.URI, err
}

// network looks up and connects to the endpoint, or names the proxy.
func (e *exam) network(ctx context.Context) {
	u, err := e.endpoint(ctx)
	if err != nil {
		e.add("endpoint", Fail, fmt.Sprintf("region %q has no endpoint: %v", e.options.Region, err), e.advice(remedy.Of(remedy.NoRegion), ""))
		return
	}
	where := "AWS"
	if !e.aws {
		where = "set by hand"
	}
	e.add("endpoint", OK, fmt.Sprintf("%s://%s, region %s (%s)", u.Scheme, u.Host, e.options.Region, where), "")
	proxy, err := e.Proxy(&http.Request{URL: u})
	if err != nil {
		e.add("proxy", Fail, "the proxy's address is not valid", e.advice(remedy.Of(remedy.ProxyAddress), ""))
		return
	}
	if proxy != nil {
		e.add("proxy", Note, "calls go through "+proxy.Host, "if calls fail: check that the proxy lets CONNECT "+u.Host+" pass, or put the host into NO_PROXY")
		return
	}
	ctx, cancel := e.timed(ctx)
	defer cancel()
	if net.ParseIP(u.Hostname()) == nil {
		addrs, err := e.LookupHost(ctx, u.Hostname())
		if err != nil {
			e.add("dns", Fail, fmt.Sprintf("%s is not found: %v", u.Hostname(), err), e.advice(remedy.Of(remedy.DNS), ""))
			return
		}
		e.add("dns", OK, u.Hostname()+" is "+describeAddresses(addrs), "")
	}
	port := u.Port()
	if port == "" {
		port = "443"
		if u.Scheme == "http" {
			port = "80"
		}
	}
	began := time.Now()
	conn, err := e.Dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		r := remedy.Find("RequestFailed", "", err)
		if r.Kind == remedy.NoAnswer { // it cannot be said why there is no connection
			r = remedy.Of(remedy.Timeout)
		}
		e.add("connection", Fail, fmt.Sprintf("cannot connect to port %s: %v", port, err), e.advice(r, ""))
		return
	}
	_ = conn.Close() // nothing was sent
	e.add("connection", OK, fmt.Sprintf("port %s answers in %v", port, time.Since(began).Round(100*time.Microsecond)), "")
}

func describeAddresses(addrs []string) string {
	private := 0
	for _, a := range addrs {
		if ip := net.ParseIP(a); ip != nil && ip.IsPrivate() {
			private++
		}
	}
	s := strings.Join(addrs[:min(3, len(addrs))], ", ")
	if len(addrs) > 3 {
		s += ", ..."
	}
	if private > 0 {
		s += " (private: a VPC endpoint)"
	}
	return s
}

// credentials fetches credentials and reports whether there are any.
func (e *exam) credentials(ctx context.Context) bool {
	advice := e.advice(remedy.Of(remedy.NoCredentials), "")
	if e.options.Credentials == nil {
		e.add("credentials", Fail, "there are none", advice)
		return false
	}
	ctx, cancel := e.timed(ctx)
	defer cancel()
	c, err := e.options.Credentials.Retrieve(ctx)
	if err != nil {
		e.add("credentials", Fail, "there are none: "+err.Error(), e.advice(remedy.Find("NoCredentials", "", err), ""))
		return false
	}
	detail := "from " + c.Source
	if c.AccountID != "" {
		detail += ", account " + c.AccountID
	}
	if !c.CanExpire {
		e.add("credentials", OK, detail+", without an end", "")
		return true
	}
	left := c.Expires.Sub(e.Now()).Round(time.Second)
	detail += fmt.Sprintf(", valid for %v", left)
	switch {
	case left <= 0:
		e.add("credentials", Fail, detail, "they have expired: "+e.advice(remedy.Of(remedy.Expired), ""))
	case left < soonExpired:
		e.add("credentials", Warn, detail, "check that they are renewed by themselves; those of environment variables are not")
	default:
		e.add("credentials", OK, detail, "")
	}
	return true
}

// identity says whose the credentials are.
func (e *exam) identity(ctx context.Context) {
	if e.Identity == nil {
		return
	}
	ctx, cancel := e.timed(ctx)
	defer cancel()
	arn, err := e.Identity(ctx)
	if err != nil {
		e.add("identity", Note, "STS did not say who the credentials belong to: "+firstLine(err), "nothing, if Kinesis can be called: STS may be out of reach")
		return
	}
	e.add("identity", OK, arn, "")
}

// sawClock takes the service's clock from an answer.
func (e *exam) sawClock(md *middleware.Metadata, err error) {
	var at time.Time
	if md != nil {
		at, _ = awsmiddleware.GetServerTime(*md)
	}
	var resp *smithyhttp.ResponseError
	if errors.As(err, &resp) && resp.Response != nil && resp.Response.Response != nil {
		if t, dateErr := http.ParseTime(resp.Response.Header.Get("Date")); dateErr == nil {
			at = t
		}
	}
	if !at.IsZero() {
		e.skew, e.skewKnown = e.Now().Sub(at), true
	}
}

// clock compares the clocks. The service's has whole seconds.
func (e *exam) clock() {
	if !e.skewKnown {
		e.add("clock", Note, "not checked: no answer with a date", "")
		return
	}
	d := e.skew.Abs().Truncate(time.Second)
	side := "ahead of"
	if e.skew < 0 {
		side = "behind"
	}
	detail := fmt.Sprintf("the local clock is %v %s the service's", d, side)
	switch {
	case d >= maxSkew:
		e.add("clock", Fail, detail, e.advice(remedy.Of(remedy.Clock), "")+": AWS refuses signatures that are more than 5 minutes off")
	case d >= largeSkew:
		e.add("clock", Warn, detail, "keep the clock right (chrony, systemd-timesyncd): times of records and of AWS disagree, and above 5 minutes AWS refuses signatures")
	default:
		e.add("clock", OK, fmt.Sprintf("the local clock and the service's agree within %v", d+time.Second), "")
	}
}

// firstLine shortens an error of the SDK.
func firstLine(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}
