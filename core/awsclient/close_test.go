// SPDX-License-Identifier: Apache-2.0

package awsclient_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

func TestCloseIdleConnectionsLeavesNoneOpen(t *testing.T) {
	alone(t)
	var mu sync.Mutex
	open := 0
	closed := make(chan struct{})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"Shards":[]}`))
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		switch state {
		case http.StateNew:
			open++
		case http.StateClosed:
			if open--; open == 0 {
				close(closed)
			}
		}
	}
	s.Start()
	defer s.Close()
	c := newClient(t, s.URL)
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			if _, err := c.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("logs")}); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	c.(interface{ CloseIdleConnections() }).CloseIdleConnections()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		mu.Lock()
		defer mu.Unlock()
		t.Errorf("unexpected connections; got %d open; want none", open)
	}
}
