// Package placement enters containers from every place where a gateway may stand.
package placement
