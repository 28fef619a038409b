// SPDX-License-Identifier: Apache-2.0

package status_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/vector/internal/status"
)

func Example() {
	ctx := context.Background()
	kept := status.NewLog(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	logger := slog.New(kept)
	producer, err := core.New(kinesistest.New(kinesistest.WithStream("logs", 1)).Client(), core.WithLogger(logger))
	if err != nil {
		log.Fatal(err)
	}
	page := status.New(status.Config{Program: "demo", Producer: producer, Log: kept, Server: func() status.Server { return status.Server{} }})
	mux := http.NewServeMux()
	page.Register(mux.Handle)

	if _, err := producer.PutSync(ctx, "logs", core.Record{Data: []byte("a line")}); err != nil {
		log.Fatal(err)
	}
	logger.Warn("something to look at", "stream", "logs")
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/status.json", nil))
	var d status.Document
	if err := json.Unmarshal(answer.Body.Bytes(), &d); err != nil {
		log.Fatal(err)
	}
	fmt.Println(d.Streams[0].Name, d.Streams[0].Confirmed, d.Log[0].Message, d.Log[0].Detail)
	if err := producer.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: logs 1 something to look at stream=logs
}
