package image

import (
	"strings"
	"testing"
	"time"
)

func TestABasePastItsSupportIsWarnedAbout(t *testing.T) {
	now := time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)
	for base, past := range map[string]bool{
		"nvidia/cuda:12.6.3-cudnn-devel-ubuntu20.04": true,
		"nvidia/cuda:11.8.0-devel-ubuntu18.04":       true,
		DefaultBase:                                  false,
		"ubuntu:20.04":                               true,
		"docker.io/library/ubuntu:focal-20240530":    true,
		"ubuntu:24.04":                               false,
		"ubuntu:latest":                              false,
		"debian:10-slim":                             true,
		"debian:10.13":                               true,
		"debian:bullseye":                            true,
		"debian:12":                                  false,
		"our.registry:5000/debian:buster":            true,
		"berth-base:bookworm":                        false,
		"pytorch/pytorch:2.4.0-cuda12.4-cudnn9":      false,
	} {
		if got := PastSupport(base, now); (got != "") != past {
			t.Errorf("%s: %q", base, got)
		}
	}
	lastMoment := time.Date(2026, time.August, 31, 23, 0, 0, 0, time.UTC)
	if got := PastSupport("debian:11", lastMoment); got != "" {
		t.Errorf("in its last month: %s", got)
	}
	if got := PastSupport("debian:11", now); !strings.Contains(got, "since 1 September 2026") {
		t.Errorf("got %q", got)
	}
}
