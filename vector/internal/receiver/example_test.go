// SPDX-License-Identifier: Apache-2.0

package receiver_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/vector/internal/config"
	"github.com/outkpl/outkpl/vector/internal/receiver"
)

func Example() {
	kinesis := kinesistest.New(kinesistest.WithStream("logs", 2))
	cfg, err := config.Load(config.Sources{Args: []string{
		"--server.listen=127.0.0.1:0", "--server.admin_listen=off", "--server.drain_delay=0", "--route.stream=logs",
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	producer, err := core.New(kinesis.Client(), cfg.Producer.Options()...)
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := receiver.New(cfg, producer, receiver.Deps{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := server.Start(); err != nil {
		fmt.Println(err)
		return
	}
	res, err := http.Post("http://"+server.Addr()+"/", "application/json", strings.NewReader(`[{"message":"a"},{"message":"b"}]`))
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err := server.Shutdown(context.Background()); err != nil {
		fmt.Println(err)
	}
	fmt.Println(res.StatusCode, len(kinesis.Consume("logs").Records))
	// Output: 200 2
}
