package main

import (
	"strings"
	"testing"
)

func TestBuildErrorNamesTheStepAndEndsWithItsLastLines(t *testing.T) {
	output := `{"stream":"Step 1/2 : FROM debian"}
{"stream":" ---\u003e 0a1b\n"}
{"stream":"Step 2/2 : RUN make\n"}
{"stream":" ---\u003e Running in 0a1b\n"}
{"stream":"gcc main.c\n"}{"stream":"main.c:1: no such header\n"}
{"stream":"Removing intermediate container 0a1b\n"}
{"errorDetail":{"code":2,"message":"The command '/bin/sh -c make' returned a non-zero code: 2"},"error":"same"}
`
	err := (&progress{}).followBuild(strings.NewReader(output))
	want := "Step 2/2 : RUN make: The command '/bin/sh -c make' returned a non-zero code: 2\n" +
		"  | gcc main.c\n  | main.c:1: no such header"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestBuildThatEndsIsNoError(t *testing.T) {
	if err := (&progress{}).followBuild(strings.NewReader(`{"stream":"Successfully built"}`)); err != nil {
		t.Error(err)
	}
}
