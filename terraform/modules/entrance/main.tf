# Where clients of one region come in: connections are handed to the ingress gateway of the mesh, which ends TLS. Its pods
# are put into the target group by a TargetGroupBinding of the load balancer controller.

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-entrance-"
  description = "Clients of ${var.name}"
  vpc_id      = var.vpc_id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  security_group_id = aws_security_group.this.id
  description       = "HTTPS from anywhere"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "pods" {
  security_group_id            = aws_security_group.this.id
  description                  = "To the ingress gateway"
  referenced_security_group_id = var.pods_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port
}

resource "aws_vpc_security_group_ingress_rule" "pods" {
  security_group_id            = var.pods_security_group_id
  description                  = "From the entrance"
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port
}

resource "aws_lb" "this" {
  name                             = var.name
  load_balancer_type               = "network"
  subnets                          = var.subnet_ids
  security_groups                  = [aws_security_group.this.id]
  enable_cross_zone_load_balancing = true
  enable_deletion_protection       = true
}

resource "aws_lb_target_group" "gateway" {
  name                   = var.name
  vpc_id                 = var.vpc_id
  target_type            = "ip"
  protocol               = "TCP"
  port                   = var.port
  preserve_client_ip     = true
  connection_termination = false
  # Sockets are told to go elsewhere by the drain of the gateways; whoever is left is cut off after so long.
  deregistration_delay = 60

  health_check {
    protocol            = "TCP"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  protocol          = "TCP"
  port              = 443

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.gateway.arn
  }
}
