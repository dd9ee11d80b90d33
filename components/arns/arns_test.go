package arns_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/intraverse/dcv-sessions/components/arns"
	"github.com/intraverse/dcv-sessions/components/iampolicy"
)

func TestARNsHaveTheRegionAndTheAccountWhereTheirServiceHasThem(t *testing.T) {
	at := arns.Scope{Partition: "aws-cn", Region: "cn-north-1", Account: "123456789012", Stack: "dev"}
	assert.Equal(t, "arn:aws-cn:sns:cn-north-1:123456789012:topic", at.ARN("sns", "topic"))
	assert.Equal(t, "arn:aws-cn:iam::123456789012:role/a", at.ARN("iam", "role/a"))
	assert.Equal(t, iampolicy.List{"arn:aws-cn:s3:::bucket", "arn:aws-cn:s3:::bucket/*"}, at.ARNs("s3", "bucket", "bucket/*"))
	assert.Equal(t, "arn:aws-cn:iam::aws:policy/A", at.AWSPolicy("A"))
}
