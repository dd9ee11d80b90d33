package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/klauspost/compress/gzip"
	"go.yaml.in/yaml/v3"

	"github.com/intraverse/dcv-sessions/internal/faults"
)

// table says which DCV server an image gets.
type table struct {
	Version string `yaml:"version"`
	File    string `yaml:"file"` // below the source, ".tgz"
	SHA256  string `yaml:"sha256"`
	// Verified is whether `make pin-dcv` made the checksum from the file itself; one
	// that others published is only as good as they are.
	Verified bool     `yaml:"verified"`
	Packages []string `yaml:"packages"` // the wanted ones' names, of those in the file
}

func readTable(file string) (table, error) {
	var t table
	text, err := os.ReadFile(file)
	if err != nil {
		return t, err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&t); err != nil {
		return t, fmt.Errorf("%s: %w", file, err)
	}
	var f faults.Faults
	f.Check(t.Version != "", "version", t.Version, "the DCV server's version")
	f.Check(filepath.IsLocal(t.File), "file", t.File, "a path below DCV_SOURCE")
	f.Check(sha256Pattern.MatchString(t.SHA256), "sha256", t.SHA256, "64 hexadecimal digits, small letters")
	f.Check(len(t.Packages) > 0, "packages", t.Packages, "the names of the packages to install")
	return t, f.Err(file)
}

// address returns the file's URL at a source. Plain HTTP is for this machine only,
// since the checksum in the table may be unverified.
func address(source, file string) (string, error) {
	at, err := url.Parse(source)
	if err != nil || !trusted(at) {
		return "", fmt.Errorf("DCV_SOURCE is %q; allowed: an https:// URL, or an http:// one of this machine", source)
	}
	return at.JoinPath(file).String(), nil
}

func trusted(at *url.URL) bool {
	local := net.ParseIP(at.Hostname())
	return at.Host != "" && (at.Scheme == "https" || at.Scheme == "http" && local != nil && local.IsLoopback())
}

// downloadFile brings a file from the web. The caller removes it.
func downloadFile(ctx context.Context, from string, log io.Writer) (*temporary, error) {
	client := &http.Client{CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if !trusted(req.URL) || len(via) >= 10 {
			return fmt.Errorf("it leads on to %s", req.URL)
		}
		return nil
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", from, res.Status)
	}
	file, err := newTemporary()
	if err != nil {
		return nil, err
	}
	p := newProgress(log, "downloading", max(0, res.ContentLength))
	if _, err := io.Copy(io.MultiWriter(file, p), res.Body); err != nil {
		file.remove()
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	p.print()
	return file, nil
}

// downloadServer downloads the file that a table names, and returns its URL too.
func downloadServer(ctx context.Context, tableFile, source string, log io.Writer) (t table, from string, file *temporary, err error) {
	if t, err = readTable(tableFile); err != nil {
		return t, "", nil, err
	}
	if from, err = address(source, t.File); err != nil {
		return t, "", nil, err
	}
	file, err = downloadFile(ctx, from, log)
	return t, from, file, err
}

// fetchDCV puts the wanted packages of the DCV server into a folder.
func fetchDCV(ctx context.Context, tableFile, dir, source string, out, log io.Writer) error {
	t, from, file, err := downloadServer(ctx, tableFile, source, log)
	if err != nil {
		return err
	}
	defer file.remove()
	if err := file.verify(from, t.SHA256); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := unpackPackages(file.file, t.Packages, dir); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	note := ""
	if !t.Verified {
		note = ", checksum unverified by us: run `make pin-dcv` where the network allows"
	}
	fmt.Fprintf(out, "DCV server %s: %d packages in %s%s\n", t.Version, len(t.Packages), dir, note)
	return nil
}

// unpackPackages extracts NAME_….deb for each name from any folder of a .tgz.
func unpackPackages(archive io.Reader, names []string, dir string) error {
	plain, err := gzip.NewReader(archive)
	if err != nil {
		return err
	}
	wanted := map[string]string{} // the file of each name
	for _, name := range names {
		wanted[name] = ""
	}
	var there []string
	for entries := tar.NewReader(plain); ; {
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		file := path.Base(h.Name)
		name, _, _ := strings.Cut(file, "_")
		if h.Typeflag != tar.TypeReg || path.Ext(file) != ".deb" {
			continue
		}
		there = append(there, file)
		switch had, is := wanted[name]; {
		case !is:
			continue
		case had != "":
			return fmt.Errorf("the package %s is there twice, in %s and %s", name, had, file)
		}
		wanted[name] = file
		if err := write(filepath.Join(dir, file), entries); err != nil {
			return err
		}
	}
	var missing []string
	for _, name := range names {
		if wanted[name] == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("no package %s in it, only %s", strings.Join(missing, ", "), cmp.Or(strings.Join(there, ", "), "others than .deb"))
	}
	return nil
}

func write(file string, from io.Reader) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}

var (
	sha256Line   = regexp.MustCompile(`(?m)^(sha256: *)\S+`)
	verifiedLine = regexp.MustCompile(`(?m)^(verified: *)\S+`)
)

// pin makes the table's checksum from the file itself. Everything else in it, a
// comment too, stays as it is.
func pin(ctx context.Context, tableFile, source string, out, log io.Writer) error {
	t, from, file, err := downloadServer(ctx, tableFile, source, log)
	if err != nil {
		return err
	}
	defer file.remove()
	if t.Verified {
		// A file that changes under its name is no new release.
		if err := file.verify(from, t.SHA256); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: still %s\n", t.File, t.SHA256)
		return nil
	}
	text, err := os.ReadFile(tableFile)
	if err != nil {
		return err
	}
	if len(sha256Line.FindAll(text, -1)) != 1 || len(verifiedLine.FindAll(text, -1)) != 1 {
		return fmt.Errorf("%s: `sha256:` and `verified:` have to begin one line each", tableFile)
	}
	text = sha256Line.ReplaceAll(text, []byte("${1}"+file.sum()))
	text = verifiedLine.ReplaceAll(text, []byte("${1}true"))
	if err := os.WriteFile(tableFile, text, 0o644); err != nil {
		return err
	}
	said := "as others published it"
	if file.sum() != t.SHA256 {
		said = "others published " + t.SHA256 + ": find out why before you commit this"
	}
	fmt.Fprintf(out, "%s: %s, %s\n", t.File, file.sum(), said)
	return nil
}
