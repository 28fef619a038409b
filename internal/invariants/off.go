// SPDX-License-Identifier: Apache-2.0

//go:build !race && !invariants

package invariants

// Enabled says whether the assertions are on.
const Enabled = false
