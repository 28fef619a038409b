// SPDX-License-Identifier: Apache-2.0

package awsclient_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
)

// realm is an AWS of its own: Kinesis and STS in one server.
type realm struct {
	url string

	mu    sync.Mutex
	key   string         // that is valid
	token string         // of a web identity that is valid
	code  string         // for what is not
	calls map[string]int // by action
	agent string         // of the last call of Kinesis
}

func newRealm(t *testing.T) *realm {
	t.Helper()
	r := &realm{key: "KEY1", token: "TOKEN1", code: "ExpiredTokenException", calls: make(map[string]int)}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.url = s.URL
	return r
}

func (r *realm) set(key, token, code string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.key, r.token, r.code = key, token, code
}

func (r *realm) count(action string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[action]
}

// ServeHTTP implements http.Handler. A role's key is that of who assumes it, with ROLE- before it.
func (r *realm) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, signed, _ := strings.Cut(req.Header.Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(signed, "/")
	if target := req.Header.Get("X-Amz-Target"); target != "" {
		r.calls[target]++
		r.agent = req.UserAgent()
		if strings.TrimPrefix(key, "ROLE-") != r.key {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{"__type": r.code, "message": "not " + key})
			return
		}
		_, _ = w.Write([]byte(`{"Shards":[]}`))
		return
	}
	action := req.FormValue("Action")
	r.calls[action]++
	switch {
	case action == "AssumeRoleWithWebIdentity" && req.FormValue("WebIdentityToken") == r.token:
		key = r.key
	case action == "AssumeRole" && key == r.key:
		key = "ROLE-" + key
	default:
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredToken</Code><Message>expired</Message></Error><RequestId>1</RequestId></ErrorResponse>`))
		return
	}
	_, _ = fmt.Fprintf(w, `<%[1]sResponse><%[1]sResult><Credentials><AccessKeyId>%[2]s</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></%[1]sResult></%[1]sResponse>`, action, key)
}

func write(t *testing.T, name, s string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(s), 0o600); err != nil {
		t.Fatal(err)
	}
}

func keys(id string) string {
	return "aws_access_key_id = " + id + "\naws_secret_access_key = s\naws_session_token = t\n"
}

func list(c core.Client, t *testing.T) error {
	t.Helper()
	_, err := c.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("logs")})
	return err
}

// withoutKeys takes the keys of alone out of the environment, and names files that do
// not exist yet.
func withoutKeys(t *testing.T) (credentials, config string) {
	t.Helper()
	alone(t)
	for _, k := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(k, "")
	}
	dir := t.TempDir()
	credentials, config = filepath.Join(dir, "credentials"), filepath.Join(dir, "config")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", credentials)
	t.Setenv("AWS_CONFIG_FILE", config)
	return credentials, config
}

// webIdentity is what IRSA sets, or a profile that says the same.
func webIdentity(t *testing.T, where, config, token string) {
	t.Helper()
	if where == "profile" {
		write(t, config, "[default]\nrole_arn = arn:aws:iam::1:role/r\nweb_identity_token_file = "+token+"\n")
		return
	}
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token)
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r")
}

// Other clients have the same credentials, and take part in renewing them.
func TestClientsOfOtherServicesShareCredentials(t *testing.T) {
	r := newRealm(t)
	file, _ := withoutKeys(t)
	write(t, file, "[default]\n"+keys("KEY1"))
	a, err := awsclient.Load(t.Context(), awsclient.Config{Region: "us-east-1", Endpoint: r.url})
	if err != nil {
		t.Fatal(err)
	}
	other := sts.NewFromConfig(a.Config(), func(o *sts.Options) {
		if err := a.Address(sts.ServiceID, r.url, &o.BaseEndpoint, &o.EndpointOptions.UseFIPSEndpoint, &o.EndpointOptions.UseDualStackEndpoint); err != nil {
			t.Error(err)
		}
		o.Retryer = aws.NopRetryer{}
	})
	in := &sts.AssumeRoleInput{RoleArn: aws.String("r"), RoleSessionName: aws.String("s")}
	if _, err := other.AssumeRole(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	r.set("KEY2", "", "")
	write(t, file, "[default]\n"+keys("KEY2"))
	if _, err := other.AssumeRole(t.Context(), in); err == nil {
		t.Fatal("unexpected success with the old key")
	}
	if err := list(a.Kinesis(), t); err != nil {
		t.Errorf("unexpected error after the rotation: %v", err)
	}
}
