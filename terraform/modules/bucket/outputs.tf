output "use" {
  description = "What somebody may do who reads and writes it, as modules/identity takes it."
  value = [
    { actions = ["s3:ListBucket", "s3:GetBucketLocation"], resources = [aws_s3_bucket.this.arn] },
    { actions = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], resources = ["${aws_s3_bucket.this.arn}/*"] },
    { actions = ["kms:Decrypt", "kms:GenerateDataKey"], resources = [aws_kms_key.this.arn] },
  ]
}

# Only what keeps versions can be copied.
output "source" {
  description = "What modules/bucket-copy copies."
  value       = { name = aws_s3_bucket_versioning.this.bucket, arn = aws_s3_bucket.this.arn, key_arn = aws_kms_key.this.arn }
}
