package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// writable finds out before a long run whether its reports can be written, and
// leaves everything as it is.
func writable(files ...string) error {
	for _, file := range files {
		if file == "" {
			continue
		}
		if err := tryWriting(file); err != nil {
			return fmt.Errorf("a report cannot be written: %w", err)
		}
	}
	return nil
}

// tryWriting opens what is there, and what keep would write beside it.
func tryWriting(file string) error {
	place, direct, err := destination(file)
	if err != nil {
		return err
	}
	existing, err := os.OpenFile(place, os.O_WRONLY, 0)
	switch {
	case err == nil:
		existing.Close()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if direct {
		return nil
	}
	beside, err := beside(place)
	if err != nil {
		return err
	}
	beside.Close()
	return os.Remove(beside.Name())
}

// keep writes a report: all of it, or what was there before stays. Where there is
// no file but a device or a pipe it writes into that.
func keep(file string, content []byte) error {
	place, direct, err := destination(file)
	if err != nil {
		return err
	}
	if direct {
		return os.WriteFile(place, content, 0o644)
	}
	f, err := beside(place)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), place)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// destination follows links, and says whether to write there directly.
func destination(file string) (place string, direct bool, err error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return file, false, nil
	case err != nil:
		return "", false, err
	case !info.Mode().IsRegular():
		return file, true, nil
	}
	place, err = filepath.EvalSymlinks(file)
	return place, false, err
}

// beside makes the file that becomes another one. Its name is the same each time
// for this process, so that nothing but this one is ever left behind.
func beside(place string) (*os.File, error) {
	return os.OpenFile(fmt.Sprintf("%s.%d.part", place, os.Getpid()), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
}
