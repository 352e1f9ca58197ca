# Finds the headers of nlohmann-json: either an installed CMake package (Debian's nlohmann-json3-dev), or the headers that the
# PyPI package nlohmann-json installs in site-packages, below CMAKE_PREFIX_PATH or in a virtual environment. Defines the target nlohmann_json::nlohmann_json.

find_package(nlohmann_json CONFIG QUIET)
if(nlohmann_json_FOUND)
    include(FindPackageHandleStandardArgs)
    find_package_handle_standard_args(nlohmann_json CONFIG_MODE)
    return()
endif()

find_path(nlohmann_json_INCLUDE_DIR nlohmann/json.hpp PATH_SUFFIXES nlohmann_json/include include)
if(NOT nlohmann_json_INCLUDE_DIR)
    # The site-packages of an active virtual environment, and of the one that the README's commands create.
    file(
        GLOB site_packages
        "$ENV{VIRTUAL_ENV}/lib/python3*/site-packages"
        "${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages"
    )
    find_path(
        nlohmann_json_INCLUDE_DIR
        nlohmann/json.hpp
        HINTS ${site_packages}
        PATH_SUFFIXES nlohmann_json/include
    )
endif()
mark_as_advanced(nlohmann_json_INCLUDE_DIR)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
    nlohmann_json
    REQUIRED_VARS nlohmann_json_INCLUDE_DIR
    REASON_FAILURE_MESSAGE
        "install Debian's nlohmann-json3-dev, or PyPI's nlohmann-json in .venv or the active virtual environment"
)

if(nlohmann_json_FOUND AND NOT TARGET nlohmann_json::nlohmann_json)
    add_library(nlohmann_json::nlohmann_json INTERFACE IMPORTED)
    target_include_directories(
        nlohmann_json::nlohmann_json
        SYSTEM
        INTERFACE "${nlohmann_json_INCLUDE_DIR}"
    )
endif()
