// Package hosts knows which hosts there are and how to reach them.
package hosts
