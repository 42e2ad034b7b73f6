// Package setup makes the first gateway.yaml of a box, by what is there: the
// containers that run ([Containers]) and a person's public keys ([Keys]). A
// [Plan] is what would be written; [Write] never replaces what a person wrote.
package setup
