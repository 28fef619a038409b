// SPDX-License-Identifier: Apache-2.0

package doctor_test

import (
	"context"
	"fmt"

	"github.com/outkpl/outkpl/cmd/kplcat/internal/doctor"
	"github.com/outkpl/outkpl/core/kinesistest"
)

func ExampleExamine() {
	server := kinesistest.New(kinesistest.WithStream("logs", 4))
	if err := server.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	for _, f := range doctor.Examine(context.Background(), doctor.Config{Client: server.SDK(), Stream: "logs"}) {
		if f.Check == "shards" || f.Check == "kinesis:GetRecords" {
			fmt.Println(f.Level, f.Check, "-", f.Detail)
		}
	}
	// Output:
	// ok shards - 4 open; each hash key belongs to one
	// ok kinesis:GetRecords - allowed
}
