package main

import (
	"strings"
	"testing"
	"time"
)

func TestMetricsAreForThisMachine(t *testing.T) {
	for want, given := range map[string]struct {
		listen string
		every  time.Duration
	}{
		"an address of this machine alone": {"0.0.0.0:9223", time.Minute},
		"--every must be a second or more": {"127.0.0.1:9223", time.Millisecond},
	} {
		if err := serveMetrics(t.Context(), options{state: t.TempDir()}, given.listen, given.every); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", given, err)
		}
	}
}
