// Package setup makes the first gateway.yaml of a box, by what is there: the
// containers that run and a person's public keys. [Find] plans it, [Write] writes
// the plan, and never replaces what a person wrote.
package setup
