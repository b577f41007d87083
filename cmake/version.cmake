# klx_version.h: the version and the revision that was configured.
execute_process(COMMAND git -C ${PROJECT_SOURCE_DIR} describe --always --dirty --abbrev=12
    OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT revision)
    set(revision unknown)
endif()
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/klx_version.h CONTENT
"#pragma once
#define KLX_VERSION \"${PROJECT_VERSION}\"
#define KLX_REVISION \"${revision}\"
")
