// Enrolment over gRPC: conversion, the source of the call, and nothing else.
#pragma once

#include "attestation-server/api/v1/enrolment.grpc.pb.h"
#include "attestation-server/enrolment/flow.h"
#include "attestation-server/http/metrics.h"
#include "attestation-server/service/server_leaves.h"
#include "attestation-server/service/work_pool.h"

namespace sallyport::server {

namespace api = ::sallyport::attestation::v1;

// SourceOf is the caller's address without its port.
std::string SourceOf(const std::string& grpc_peer);

// EnrolmentService borrows its parts; they outlive it.
class EnrolmentService final : public api::Enrolment::CallbackService {
 public:
  EnrolmentService(EnrolmentFlow& flow, const ServerLeaves& leaves, Metrics& metrics,
                   WorkPool& pool, const Clock& clock)
      : flow_(flow), leaves_(leaves), metrics_(metrics), pool_(pool), clock_(clock) {}

  grpc::ServerUnaryReactor* Begin(grpc::CallbackServerContext* context,
                                  const api::BeginRequest* request,
                                  api::BeginResponse* response) override;
  grpc::ServerUnaryReactor* Prove(grpc::CallbackServerContext* context,
                                  const api::ProveRequest* request,
                                  api::ProveResponse* response) override;

 private:
  Channel ChannelOf(const grpc::CallbackServerContext& context) const;

  EnrolmentFlow& flow_;
  const ServerLeaves& leaves_;
  Metrics& metrics_;
  WorkPool& pool_;
  const Clock& clock_;
};

}  // namespace sallyport::server
