package screen

import "testing"

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{
		"hostname":     "hostname",
		"dev+a@b:/tmp": "dev+a@b:/tmp",
		"ssh -p 2222":  "'ssh -p 2222'",
		"":             "''",
		"it's":         `'it'\''s'`,
		"$HOME":        "'$HOME'",
	} {
		if got := Quote(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}
