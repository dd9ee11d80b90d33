package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/intraverse/dcv-sessions/image/fetch/unpack"
)

// object is one version of an object in S3.
type object struct{ bucket, key, version string }

func (o object) String() string {
	return fmt.Sprintf("s3://%s/%s (version %s)", o.bucket, o.key, o.version)
}

// patience is how often a download that breaks off is taken up again without
// having come further, and how long is waited before.
const (
	patience = 5
	pause    = time.Second
)

// download brings an object with the machine's role, and hands it out once its
// checksum is right.
func download(ctx context.Context, o object, sha256 string, limits unpack.Limits, log io.Writer) (*temporary, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithEC2IMDSRegion())
	if err != nil {
		return nil, err
	}
	client := s3.NewFromConfig(cfg, func(options *s3.Options) {
		// An endpoint of one's own seldom has a name for each bucket.
		options.UsePathStyle = os.Getenv("AWS_ENDPOINT_URL") != "" || os.Getenv("AWS_ENDPOINT_URL_S3") != ""
		options.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired // there is the SHA-256
	})
	file, err := newTemporary()
	if err != nil {
		return nil, err
	}
	if err = copyObject(ctx, client, o, file, limits, log); err == nil {
		err = file.verify(o.String(), sha256)
	}
	if err != nil {
		file.remove()
		return nil, err
	}
	return file, nil
}

// copyObject reads an object to its end, over as many connections as it takes: a
// build of many gigabytes outlives some of them.
func copyObject(ctx context.Context, client *s3.Client, o object, to io.Writer, limits unpack.Limits, log io.Writer) error {
	p := newProgress(log, "downloading", 0)
	for failures := 0; ; {
		in := &s3.GetObjectInput{Bucket: &o.bucket, Key: &o.key, VersionId: &o.version}
		if p.done > 0 {
			in.Range = aws.String(fmt.Sprintf("bytes=%d-", p.done))
		}
		res, err := client.GetObject(ctx, in)
		if err != nil {
			return explained(o, err)
		}
		if p.whole == 0 {
			p.whole = aws.ToInt64(res.ContentLength)
		}
		if err := limits.CheckSize(p.whole); err != nil { // it is no smaller unpacked
			return errors.Join(err, res.Body.Close())
		}
		before := p.done
		broken, err := copyBody(res.Body, io.MultiWriter(to, p))
		switch {
		case err != nil:
			return err
		case broken == nil:
			p.print()
			return nil
		case p.done > before:
			failures = 0
		default:
			failures++
		}
		if failures == patience {
			return fmt.Errorf("%s breaks off after %s of %s: %w", o, megabytes(p.done), megabytes(p.whole), broken)
		}
		fmt.Fprintf(log, "fetch: downloading: the connection broke (%v), taken up at %s\n", broken, megabytes(p.done))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// copyBody copies a body to a file. broken is an error of the source, err one of
// the file.
func copyBody(body io.ReadCloser, to io.Writer) (broken, err error) {
	defer body.Close()
	from := &source{Reader: body}
	_, err = io.Copy(to, from)
	if from.err != nil {
		return from.err, nil
	}
	return nil, err
}

// source keeps its error.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// explained adds the likely cause to an error of S3.
func explained(o object, err error) error {
	var answer *awshttp.ResponseError
	if !errors.As(err, &answer) {
		return fmt.Errorf("%s can't be downloaded; the machine needs a role and a way to S3: %w", o, err)
	}
	switch answer.HTTPStatusCode() {
	case http.StatusForbidden:
		return fmt.Errorf("%s: the machine's role may not read it, or its bucket is another account's; it needs s3:GetObjectVersion on the bucket's keys: %w", o, err)
	case http.StatusNotFound:
		return fmt.Errorf("%s is not there; look at bucket, key, version id and Region: %w", o, err)
	case http.StatusMethodNotAllowed:
		return fmt.Errorf("%s was deleted: this version is the mark of it: %w", o, err)
	case http.StatusBadRequest:
		return fmt.Errorf("%s: S3 does not take the request; a version id that is none is answered so: %w", o, err)
	}
	return fmt.Errorf("%s: %w", o, err)
}
