// Package install installs the packages on an empty system and follows the
// README from there, or takes the programs by go install; and logs in to what is built
// for arm64, emulated.
package install
