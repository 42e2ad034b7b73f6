package main

import "testing"

func TestAttackByACellOfATable(t *testing.T) {
	const want = "HOST           STATE\nx?[2J ? row y  up\n"
	if got := table([][]string{{"HOST", "STATE"}, {"x\x1b[2J\n\u202e row\ty", "up"}}); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
