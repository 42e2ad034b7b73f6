package main

import (
	"os"
	"testing"
)

// asProvision is the variable that makes the test binary be provision, so that
// a test can run it as a process, and kill it.
const asProvision = "BERTH_TEST_AS_PROVISION"

func TestMain(m *testing.M) {
	if os.Getenv(asProvision) != "" {
		main()
		return
	}
	os.Setenv(asProvision, "1") // what it starts of itself, a guard too, is provision
	os.Exit(m.Run())
}
