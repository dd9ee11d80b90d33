package gateway

import (
	"bytes"
	"errors"
	"io"
	"math/rand"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"
)

const tlsOnly = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::builds","arn:aws:s3:::builds/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`

func requireCode(t *testing.T, err error, code string) {
	t.Helper()
	var refused smithy.APIError
	require.True(t, errors.As(err, &refused), "%v", err)
	require.Equal(t, code, refused.ErrorCode())
}

func TestABucketPolicyIsKeptAndBlocksNothing(t *testing.T) {
	client, bucket := newBucket(t, "builds"), aws.String("builds")
	get := func() (*s3.GetBucketPolicyOutput, error) {
		return client.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: bucket})
	}
	_, err := get()
	requireCode(t, err, "NoSuchBucketPolicy")

	_, err = client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: bucket, Policy: aws.String(tlsOnly)})
	require.NoError(t, err)
	got, err := get()
	require.NoError(t, err)
	require.Equal(t, tlsOnly, *got.Policy)

	build := make([]byte, 9<<20)
	_, _ = rand.New(rand.NewSource(1)).Read(build)
	_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("a build/1.zip"), Body: bytes.NewReader(build)})
	require.NoError(t, err)
	object, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("a build/1.zip")})
	require.NoError(t, err)
	defer object.Body.Close()
	back, err := io.ReadAll(object.Body)
	require.NoError(t, err)
	require.True(t, bytes.Equal(build, back), "an object comes back as it was sent")

	_, err = client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: bucket, Policy: aws.String("no JSON")})
	requireCode(t, err, "MalformedPolicy")
	_, err = client.DeleteBucketPolicy(ctx, &s3.DeleteBucketPolicyInput{Bucket: bucket})
	require.NoError(t, err)
	_, err = get()
	requireCode(t, err, "NoSuchBucketPolicy")
}

func TestABucketPolicyGoesWithItsBucket(t *testing.T) {
	client, bucket := newBucket(t, "gone"), aws.String("gone")
	_, err := client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: bucket, Policy: aws.String(tlsOnly)})
	require.NoError(t, err)
	_, err = client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket})
	require.NoError(t, err)
	_, err = client.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: bucket})
	requireCode(t, err, "NoSuchBucket")
	_, err = client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: bucket, Policy: aws.String(tlsOnly)})
	requireCode(t, err, "NoSuchBucket")
	newBucket(t, "gone")
	_, err = client.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: bucket})
	requireCode(t, err, "NoSuchBucketPolicy")
}
