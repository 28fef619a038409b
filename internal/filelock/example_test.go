// SPDX-License-Identifier: Apache-2.0

package filelock_test

import (
	"fmt"
	"os"

	"github.com/outkpl/outkpl/internal/filelock"
)

func Example() {
	f, err := os.CreateTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.Remove(f.Name())
	defer f.Close()
	fmt.Println(filelock.TryLock(f))
	// Output: <nil>
}
