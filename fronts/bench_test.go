package fronts

import (
	"testing"

	"github.com/berth-ssh/berth/front/messages"
)

// BenchmarkKey measures the question whether a key is valid for a step of a login,
// with both ends in one process.
func BenchmarkKey(b *testing.B) {
	a := takeOver(b)
	for b.Loop() {
		a.proves(b, "dev", a.dev, true)
	}
}

// BenchmarkWays measures the smallest call.
func BenchmarkWays(b *testing.B) {
	a := takeOver(b)
	for b.Loop() {
		if _, err := a.Call(b.Context(), messages.LoginMethods, nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}
