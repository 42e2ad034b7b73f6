package test

import "testing"

func (m matrix) jupyter(t *testing.T) { onlyWithAll(t) }
