//go:build race

package frame_test

func init() { racing = true }
