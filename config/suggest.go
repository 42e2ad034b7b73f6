package config

import "strings"

// suggest returns the known word that was probably meant, or a list of all of them.
func suggest(word string, known []string) string {
	for _, candidate := range known {
		if distance(strings.ToLower(word), candidate) <= 2 {
			return "did you mean " + candidate + "?"
		}
	}
	return "known here: " + strings.Join(known, ", ")
}

// distance returns the number of letters to insert, delete or replace (Levenshtein).
// For words of very different length it returns a large number at once.
func distance(a, b string) int {
	if len(a) > len(b)+2 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
