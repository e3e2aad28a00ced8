/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "serve/description.h"

/* Made of io.shmstate.varlink by the build: a line a string. */
const char description_own[] =
#include "src/serve/io.shmstate.varlink.h"
	;

const char description_general[] =
	"# What every varlink service answers\n"
	"interface org.varlink.service\n"
	"\n"
	"# Tells what this service is\n"
	"method GetInfo() -> (\n"
	"  vendor: string,\n"
	"  product: string,\n"
	"  version: string,\n"
	"  url: string,\n"
	"  interfaces: []string\n"
	")\n"
	"\n"
	"# Gives the description of an interface\n"
	"method GetInterfaceDescription(interface: string) -> (description: string)\n"
	"\n"
	"# The interface is not of this service\n"
	"error InterfaceNotFound (interface: string)\n"
	"# The interface has no such method\n"
	"error MethodNotFound (method: string)\n"
	"# The interface has the method, but it is not there\n"
	"error MethodNotImplemented (method: string)\n"
	"# A parameter is missing, unknown, or not as expected\n"
	"error InvalidParameter (parameter: string)\n"
	"# The caller may not do that\n"
	"error PermissionDenied ()\n"
	"# The method can only be called with `more`\n"
	"error ExpectedMore ()\n";
